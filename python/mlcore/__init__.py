"""mlcore: from data to a registered, scored and watched model, at the processor's limit."""
