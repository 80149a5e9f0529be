"""The task "auto": a small network picks the superclass, and the specialised network answers."""
