"""What measured segments let one believe of the others, and how sure that is."""
