"""The pages of projects and what protects them, a room for each subject."""
