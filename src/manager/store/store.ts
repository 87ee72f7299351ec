/** What the trust manager keeps, by name: a Secret in its namespace, or a file in its state folder, mode 0600. */
export interface TrustStore {
  /** As `Secret gloo-mesh/relay-tls-signing-secret`, for messages. */
  titleOf(name: string): string;
  /** Undefined if there is none. @throws MeshError `unavailable`, or `invalid` for what is no document. */
  read(name: string, signal?: AbortSignal): Promise<StoredDocument | undefined>;
  /**
   * Writes the whole document, unless it changed since it was read.
   * @param version of what was read; undefined if it was not there.
   * @returns the version written. @throws MeshError `conflict` if somebody was faster, `unavailable`.
   */
  write(
    name: string,
    data: ReadonlyMap<string, string>,
    version: string | undefined,
    signal?: AbortSignal,
  ): Promise<string>;
  /** What is not there is no error. @throws MeshError `unavailable` */
  remove(name: string, signal?: AbortSignal): Promise<void>;
  /** Of our own documents, those whose names begin so; sorted. @throws MeshError `unavailable` */
  names(prefix: string, signal?: AbortSignal): Promise<readonly string[]>;
}

export interface StoredDocument {
  /** Text by key. */
  readonly data: ReadonlyMap<string, string>;
  readonly version: string;
}
