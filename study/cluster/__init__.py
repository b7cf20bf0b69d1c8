"""The Ray cluster: started or reached, its nodes looked at; never anything of one study's records."""
