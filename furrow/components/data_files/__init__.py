"""Files that somebody else wrote: opened and unpacked within bounds, and recognised by what they hold."""
