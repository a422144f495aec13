"""A garden almanac: facts, the statements that teach them, and the questions that ask for them.

The facts are textbook horticulture for a temperate northern garden, simplified to one answer each. They are there so
that a very small model can be shown to know something; nobody should plan a garden with them.
"""
