export type Headers = Readonly<Record<string, string | readonly string[]>>;

/** What one call shows to the server. */
export interface Proof {
  readonly headers: Headers;
  /** PEM, shown when connecting: another one needs another connection. */
  readonly certificate?: { readonly certificate: string; readonly key: string };
}

/** Who we are to one API server, as it is now. */
export interface Credentials {
  /** @throws MeshError, if a file cannot be read or a plugin fails. */
  current(): Promise<Proof>;
  /** The server has refused what was shown. @returns true if there is something newer to show. */
  refresh(): Promise<boolean>;
}
