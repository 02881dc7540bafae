"""What a media file says of itself: content credentials and metadata. It is beside the scores, never part of them."""
