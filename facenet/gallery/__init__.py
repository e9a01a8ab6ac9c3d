"""The durable set of people: a store that is the truth, an index that is a cache, and one class in front of both."""
