"""The wizard that links administrations: sign in, choose, identify, assign, finish.

Begin with `services`, which saves a step; `flow` stores the flow and the step that was reached, and `steps`
holds the rules of each step.
"""
