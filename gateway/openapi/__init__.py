"""The API's description: an OpenAPI document made from the methods themselves, and a page that shows it."""
