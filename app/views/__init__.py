"""Pages: one module a page; controls, then cache, then chart. No mathematics."""
