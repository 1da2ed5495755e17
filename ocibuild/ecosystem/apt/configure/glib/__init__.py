"""GLib's own formats, as far as its compiled settings schemas need them."""
