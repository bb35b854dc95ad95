"""What CodeFusion is compared with: autoregressive models and the copy of the nearest training example."""
