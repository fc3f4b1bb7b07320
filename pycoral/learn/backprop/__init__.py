"""Training a last layer by gradient descent on the embeddings of pictures."""
