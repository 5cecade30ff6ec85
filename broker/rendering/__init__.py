"""From templates to texts: a sandbox with bounds, the choice of a language, and what mail needs of HTML.

It stands in the broker because both sides render: the gateway when it accepts, previews and lints, the pipeline when it tells.
"""
