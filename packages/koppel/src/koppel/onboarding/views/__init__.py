"""The wizard's pages. A page shows its step, or sends to the step that the flow has reached."""
