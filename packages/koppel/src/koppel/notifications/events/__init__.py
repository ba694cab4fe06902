"""Events: opened and closed by the app in which something happens (`services`), then told once (`dispatch`)."""
