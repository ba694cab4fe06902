"""A worker: takes runs from their queue, works off jobs, and looks
after tokens and what dead workers left."""
