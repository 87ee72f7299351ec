/** Pieces of a secret this long must not be seen; shorter ones are found in anything. */
const PIECE = 20;

/** Every piece of `secret` that `text` still has, in plain, as base64, in hex, or as URLs write it. */
export function survivors(text: string, secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  const writings = [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString("hex"),
    bytes.toString("base64").replace(/=+$/, ""),
    bytes.toString("base64url"),
    // As the middle of something longer.
    ...[1, 2].map((offset) =>
      Buffer.concat([Buffer.alloc(offset), bytes])
        .toString("base64")
        .slice(4, Math.floor(((bytes.length + offset) * 8) / 6)),
    ),
  ];
  const seen = text.toLowerCase();
  return writings.filter((writing) => seen.includes(writing.toLowerCase()));
}

/** Every piece of the body of a PEM that `text` still has, however it is broken into lines, and in hex. */
export function keyPieces(text: string, pem: string): readonly string[] {
  const body = pem.replace(/-----[^-]+-----/g, "").replace(/\s/g, "");
  const seen = text.replace(/\s|\\+[nr]|%0A/g, "");
  const pieces: string[] = [];
  // What all keys of a kind begin with is no secret.
  for (let at = 40; at + PIECE <= body.length; at += 4) {
    const piece = body.slice(at, at + PIECE);
    if (seen.includes(piece) || seen.includes(encodeURIComponent(piece))) pieces.push(piece);
  }
  const hex = Buffer.from(body, "base64").subarray(30).toString("hex");
  for (let at = 0; at + 40 <= hex.length; at += 8)
    if (seen.toLowerCase().includes(hex.slice(at, at + 40))) pieces.push(hex.slice(at, at + 40));
  return pieces;
}
