"""The process in which one plugin's code runs, and the protocol between it and its plugin actor."""
