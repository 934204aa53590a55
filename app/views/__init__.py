"""Pages: one script a page, run by Streamlit: controls, then cache, then chart. No mathematics."""
