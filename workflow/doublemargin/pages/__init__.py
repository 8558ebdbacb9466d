"""The generated pages of docs/. Not beside what they describe, so that an edit of a page reruns nothing."""
