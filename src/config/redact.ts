/** Text with whatever may be the user name and password of an address left out: all between its scheme, or its beginning, and the last `@`. */
export function withoutCredentials(text: string): string {
  return text.replace(/^(\W*(?:[a-z][a-z0-9+.-]*:\/{1,2})?).*(?:@|%40)/is, '$1***@')
}
