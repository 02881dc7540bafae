"""The routes of the HTTP contract, and the OpenAPI document that describes them."""
