"""Small tools that know neither molecules nor text nor runs."""
