"""ffmpeg and PyAV behind the media ports: probing, encoding and still pictures, each in a process that can be killed."""
