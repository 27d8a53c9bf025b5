"""The words of an encoder's vocabulary, and which of them its embeddings take for alike."""

from torch.nn.functional import normalize

BEGINS = ("\N{LOWER ONE EIGHTH BLOCK}", "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}")


def nearest_words(encoder, tokenizer, words, most: int) -> dict[str, list[tuple[str, float]]]:
    """Word -> the `most` nearest others with their cosines, for words that are one piece.

    The cosine is that of the input embeddings after their mean is subtracted; only whole words
    count as neighbours.
    """
    vectors = encoder.get_input_embeddings().weight.detach().float()
    vectors = normalize(vectors - vectors.mean(0), dim=-1)
    whole = whole_words(tokenizer)
    asked = [word for word in dict.fromkeys(words) if word in whole]
    names, rows = list(whole), vectors[list(whole.values())]
    found = {}
    for start in range(0, len(asked), 256):
        some = asked[start : start + 256]
        like = vectors[[whole[word] for word in some]] @ rows.T
        values, places = (x.tolist() for x in like.topk(min(most + 1, len(rows))))
        for word, cosines, at in zip(some, values, places, strict=True):
            near = [(names[k], cosine) for k, cosine in zip(at, cosines, strict=True)]
            found[word] = [each for each in near if each[0] != word][:most]
    return found


def whole_words(tokenizer) -> dict[str, int]:
    """The vocabulary's pieces that are whole words of at least two letters, with their ids."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    if any(piece.startswith("##") for piece in pieces):  # WordPiece marks what continues a word
        words = {piece: i for i, piece in enumerate(pieces)}
    else:  # SentencePiece and byte-level BPE mark what begins one
        words = {piece[1:]: i for i, piece in enumerate(pieces) if piece[0] in BEGINS}
    return {word: i for word, i in words.items() if word.isalpha() and len(word) > 1}
