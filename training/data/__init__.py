"""From labelled media files to the pictures of a batch."""
