"""Two endpoints compared, read only: does B hold everything that A holds, and nothing else?"""
