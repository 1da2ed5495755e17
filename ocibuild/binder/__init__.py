"""repo2docker's command line and log, for BinderHub and for whoever is used to it."""
