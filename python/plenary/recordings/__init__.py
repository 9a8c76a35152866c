"""Files of recordings: where they lie, and each recording read as one WAV file. `files.RecordingFiles` is the door."""
