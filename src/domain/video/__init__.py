"""What a video is: source facts, ladder, plan, playlists, and the rules that say when an output is whole."""
