"""Sound for `talk` and `play`: a text or a URL in, 16 kHz mono PCM out.

`prompts.Prompts` is the door. Behind it: a provider with the protocol `provider.TextToSpeech` (`espeak.EspeakNg`),
`fetch.Fetcher` for URLs, `convert` for what other rates there are, and `cache.SoundCache`. Nothing in here decides
anything about calls; what goes wrong is an `errors.PromptError` with a sentence for the event log.
"""
