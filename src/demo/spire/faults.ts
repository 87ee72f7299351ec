import type { status } from "@grpc/grpc-js";

/** What may be wrong with the stand-in, all of it at once; it is well with none of them. */
export interface Faults {
  /** Each answer of the server comes so much later. */
  readonly delayMs?: number;
  /** Methods of the server, as `MintX509SVID`, that never answer, as those that sign of a server that has locked up. */
  readonly silent?: readonly string[];
  /** Methods of the server that end with a status. */
  readonly refuse?: Readonly<Record<string, { readonly code: status; readonly message: string }>>;
  /** What is wrong with the leaves that it signs. */
  readonly leaf?: LeafFault;
  /** Whose bundle it gives as its own: that of a trust domain by another name. */
  readonly bundleOf?: string;
  /** What is wrong with its bundle. */
  readonly bundle?: "empty" | "expired" | "no-certificates";
  /** Lists come in pages of at most so many, also for who asks for no pages. */
  readonly pageMax?: number;
  /** The page after so many fails, so that what came before is not all. */
  readonly failAfterPages?: number;
  /** On its TCP port, the server shows an identity that is not the server's. */
  readonly serverId?: string;
}

export type LeafFault =
  | "other-identity"
  | "other-trust-domain"
  | "other-key"
  | "other-issuer"
  | "authority"
  | "two-names"
  | "extra-dns-name"
  | "expired"
  | "from-the-future"
  | "without-its-issuer"
  | "no-certificate";
