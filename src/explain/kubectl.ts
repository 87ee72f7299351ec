/** A command for one cluster; contexts are taken to be called as their clusters. */
export const kubectl = (cluster: string, words: string): string => `kubectl --context ${cluster} ${words}`;

export const labelService = (cluster: string, namespace: string, name: string, label: string): string =>
  kubectl(cluster, `-n ${namespace} label service ${name} ${label} --overwrite`);

/** What a peer said, if it can stand in a command: whoever pastes that must not run what a peer wrote. */
export const pasteable = (text: string | undefined, otherwise: string): string =>
  text !== undefined && /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(text) ? text : otherwise;
