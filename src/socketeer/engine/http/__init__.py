"""HTTP concerns of the engine, one each: messages, cross-origin rules, cookies, compression."""
