"""One run: its folder, who owns it, who watches it, how it ends and how it goes on."""
