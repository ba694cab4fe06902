"""The books for programs that read SQL: views, readers and their rights."""
