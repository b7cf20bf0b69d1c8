"""How a search spends its seconds: pure rules over what was recorded, for the driver and `study.replay` alike.

Never here: Ray, files, or a clock.
"""
