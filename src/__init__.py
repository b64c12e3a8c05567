"""mediaworker: heavy media jobs, done outside the API. Layers: domain < application < infrastructure < interfaces."""
