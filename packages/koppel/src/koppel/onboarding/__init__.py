"""The wizard that links administrations: sign in, choose, identify, assign, finish.

Begin with `flow`, which knows the step that a person has reached; each module of `steps` does one step for
page and REST.
"""
