"""Tables as Markdown, text, LaTeX, CSV and HTML: a module for each format, with a function for each kind of table."""
