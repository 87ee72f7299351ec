/** What the mesh config and our own flags settle for all objects of a mesh. */
export interface MeshSettings {
  /** As `cluster.local`. */
  readonly trustDomain: string;
  /** The namespace whose selector-less policies bind the whole mesh. */
  readonly rootNamespace: string;
  /** The suffix of service hostnames, as `cluster.local`. */
  readonly clusterDomain: string;
}
