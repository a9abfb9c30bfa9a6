/** The name of the MCP server with our own tools. No other may have it. */
export const toolServerName = 'picoclaw';
