"""The ways out: one file each. What is claimed from the outbox goes in, what came of the attempt comes out."""
