"""What a person types and reads: commands, doctor, status; never a decision about a study."""
