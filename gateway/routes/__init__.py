"""The routes of the HTTP contract, what they let in, and the OpenAPI document that describes them."""
